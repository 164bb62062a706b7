from .backend import load_keras as load_keras
from .baselines import BASELINES as BASELINES
from .baselines import Baseline as Baseline
from .baselines import LinearBaseline as LinearBaseline
from .baselines import MajorityBaseline as MajorityBaseline
