from .app import make_app as make_app
from .limits import Limits as Limits
from .running import serve as serve
from .shelf import Shelf as Shelf
from .shelf import open_shelf as open_shelf
