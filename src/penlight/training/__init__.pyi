from .checkpoints import Checkpoints as Checkpoints
from .fit import Fitted as Fitted
from .fit import fit as fit
from .loop import Epoch as Epoch
from .loop import Progress as Progress
