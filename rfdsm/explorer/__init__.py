"""An interactive page that shows the theory while its parameters are dragged, and simulations beside it.

Below the page, modules know nothing of how it is shown: `state` (what is asked), `curves`, `diagram` and `details`
(what is computed), `exports` (what is carried away). `page` and what it is made of draw; `server` serves. The name is
not that of `rfdsm.explore`, which a package of the same name would hide.
"""
