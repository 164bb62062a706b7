from .checkpoints import Checkpoints as Checkpoints
from .fitting import Fitted as Fitted
from .fitting import fit as fit
from .loop import Epoch as Epoch
from .loop import Progress as Progress
