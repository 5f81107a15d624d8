"""Datamodels: which training data made the model predict this, and what would it predict without them?

>>> import subtrain as st
>>> study = st.Study.create(":memory:", st.tasks.digits(n=60), st.Design(alpha=0.5, models=200, heldout=6))
>>> _ = study.collect(progress=False)
>>> dm = study.fit("test_margins")
>>> dm.n
60

`__init__.pyi` lists the public names; each is imported when it is first used.
"""

import lazy_loader

from subtrain._old_names import old_name
from subtrain._version import __version__ as __version__

_find, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    try:
        return _find(name)
    except AttributeError:
        return old_name(name)
