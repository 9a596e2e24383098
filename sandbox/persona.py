"""Who lives in the sandbox, and the keys they play with. All of it is play money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sandbox.daraja_wire import SANDBOX_PASSKEY, SANDBOX_SHORTCODE

SHORTCODE: Final = SANDBOX_SHORTCODE
PASSKEY: Final = SANDBOX_PASSKEY
CONSUMER_KEY: Final = "sandbox"
CONSUMER_SECRET: Final = "sandbox"  # noqa: S105 - play money
BLOCKBEE_API_KEY: Final = "sandbox"
DYNOPAY_API_KEY: Final = "dpk_test_sandbox"
DYNOPAY_WEBHOOK_SECRET: Final = "whsec_sandbox"  # noqa: S105 - play money
BUSINESS_NAME: Final = "AMANA"
BOT_TOKEN: Final = "1000000:sandbox-play-money"  # noqa: S105 - play money
BOT_USERNAME: Final = "AmanaSandboxBot"
BOT_NAME: Final = "Amana"


@dataclass(frozen=True, slots=True)
class Persona:
    """Somebody to play."""

    id: int
    first_name: str
    last_name: str
    username: str | None
    role: str
    phone: str
    hidden: bool = False  # the page shows this chat only when asked to
    started: bool = True  # pressed Start before


ADMIN: Final = Persona(1001, "Asha", "Mwangi", "asha_amana", "admin", "254711001001")
SELLER: Final = Persona(2001, "Jane", "Wanjiru", "jane_shop", "seller", "254722002001")
BUYER: Final = Persona(3001, "Brian", "Kiprop", None, "buyer", "254711003001")
STRANGER: Final = Persona(
    3002, "Otieno", "Ouma", "otieno_ke", "second buyer", "254711003002", hidden=True, started=False
)
SECOND_ADMIN: Final = Persona(
    1002, "Abdi", "Noor", "abdi_amana", "second admin", "254711001002", hidden=True
)
EVERYBODY: Final = (ADMIN, SELLER, BUYER, STRANGER, SECOND_ADMIN)
