from .app import make_app as make_app
from .limits import RequestLimits as RequestLimits
from .registry import RunRegistry as RunRegistry
from .registry import open_registry as open_registry
from .running import serve as serve
