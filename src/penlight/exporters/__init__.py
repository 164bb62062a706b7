"""A run's model as a file that others can use, and proof that the file answers as the model does.

Add a format by writing its `Exporter` and putting it into `EXPORTERS`, or a Keras layer by its function in
`layers.LAYERS`; the contract tests then cover it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
