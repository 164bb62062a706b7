from .app import make_app as make_app
from .limits import RequestLimits as RequestLimits
from .running import serve as serve
from .shelf import RunRegistry as RunRegistry
from .shelf import open_registry as open_registry
