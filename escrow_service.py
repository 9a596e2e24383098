"""The life of a deal: one method per event of FLOW. Money that arrives is the fund manager's.

Every method is one transaction: lock, decide by FLOW, write, timeline, notices, commit. A repeat
of the same `cause` gets the first answer; an illegal move is `IllegalMove`, somebody else's deal
`NotAllowed`, a lost race `EscrowMoved`.
"""

from __future__ import annotations

from escrow.services.disputes import Disputes
from escrow.services.offers import Offers
from escrow.services.opening import DESCRIPTION_CHARS, Opening
from escrow.services.people import SHOP_NAME_CHARS
from escrow.services.rulings import Rulings
from escrow.services.shipping import Shipping
from escrow.services.work import DealView

__all__ = ["DESCRIPTION_CHARS", "SHOP_NAME_CHARS", "DealView", "EscrowService"]


class EscrowService(Opening, Shipping, Disputes, Offers, Rulings):
    """Deals and their events, put together from its parts:

    | part | events |
    |---|---|
    | `services/opening.py` | open, join, cancel |
    | `services/shipping.py` | ship, decline, deliver, release, refund |
    | `services/disputes.py` | dispute, withdraw_dispute |
    | `services/offers.py` | settle, extend |
    | `services/rulings.py` | freeze, unfreeze |

    Resolve, manual_release and manual_refund are confirmed first (`services/verdicts.py`).
    """
