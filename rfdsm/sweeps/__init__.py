"""Sweeps: many problems, backed by simulations that survive interruptions, on one machine or many.

Names are imported on first use: a worker process must choose its cores before it loads anything that uses them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
