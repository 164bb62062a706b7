from .maps import Subject as Subject
from .maps import peaks as peaks
from .methods import AUTO as AUTO
from .methods import METHODS as METHODS
from .methods import candidates as candidates
from .methods import choose as choose
from .methods import explain_images as explain_images
