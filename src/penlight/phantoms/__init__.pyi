from .arrays import PHANTOMS as PHANTOMS
from .arrays import phantom_arrays as phantom_arrays
from .arrays import split_seed as split_seed
from .chest import draw_chest as draw_chest
from .chest import sample_findings as sample_findings
from .retina import LESION_BITS as LESION_BITS
from .retina import draw_retina as draw_retina
from .shared import FINDINGS as FINDINGS
