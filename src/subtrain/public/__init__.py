"""The published four million models: what there is, what a part of it costs, and exactly that part.

>>> import subtrain as st
>>> models = st.public.open("cifar", alpha=0.5)             # asks for nothing and costs nothing
>>> models.train_masks.price(slice(100, 200))                # doctest: +SKIP
>>> models.train_masks[100:200]                              # doctest: +SKIP
>>> dm = st.public.fit(models, targets=slice(0, 100))        # doctest: +SKIP
"""

from subtrain.public.catalogue import Catalogue, Dataset, File, read_catalogue
from subtrain.public.collections import Published, open, present
from subtrain.public.fitting import fit
from subtrain.public.price import Network, Price, Purse, Rates, whole_price
from subtrain.public.remote.arrays import PriceWarning, RemoteArray
from subtrain.public.remote.downloads import Downloaded, download

__all__ = [
    "Catalogue",
    "Dataset",
    "Downloaded",
    "File",
    "Network",
    "Price",
    "PriceWarning",
    "Published",
    "Purse",
    "Rates",
    "RemoteArray",
    "download",
    "fit",
    "open",
    "present",
    "read_catalogue",
    "whole_price",
]
