"""What people may write: more than three hundred texts that try to break a message."""

from __future__ import annotations

import itertools
from typing import Final

_BASE: Final = (
    "<b>bold",
    "</b></i></code>",
    "<a href='https://evil.example'>M-Pesa</a>",
    '<a href="tg://user?id=1">admin</a>',
    "<script>alert(1)</script>",
    "<tg-spoiler>x</tg-spoiler>",
    "<pre><code class='language-sql'>",
    "&lt;b&gt; &amp; &#0; &bogus; &",
    "{code} {0} {description!r} %s %(a)s",
    "a\nb\r\nc\u2028d\u2029e\x0bf\x0cg",
    "\x00\x01\x1b[31mred\x7f\x85",
    "\u202eKSE 000,1\u202c",
    "\u2066left\u2067right",
    "\u2069\u2069\u2069broke out",
    "\u200b\u200c\u200d\ufeff\u2060",
    "\u061c\u200e\u200f",
    "العربية ١٢٣ مبلغ",
    "עברית <b> שלום",
    "Z\u0351\u0343\u0357\u0352a\u0489\u0334\u0335\u0336l\u0328\u0327\u0329\u032ag\u0316\u0317o",
    "e" + "\u0301" * 500,
    "👨‍👩‍👧‍👦🇰🇪🏳️‍🌈",
    "𝕱𝖔𝖓𝖙𝖘 𝔞𝔫𝔡 𝔪𝔬𝔯𝔢",
    "x" * 5000,
    "<" * 3000,
    "&" * 3000,
    "💰" * 3000,
    "word " * 900,
    "",
    " ",
    "\t\n ",
    "\u202e",
    "KES 10,500 is held for you.",
    "Call 0712345678 or +254 712 345 678",
    "254712345678",
    "0712-345-678 / 0112.345.678",
    "https://evil.example/?start=ES1008257624",
    "@everybody #tag /cancel ES1008257624",
    "'; DROP TABLE escrow_transactions; --",
    "\\u202e \\n \\x00",
    "A\u0300\u0301\u0302\u0303\u0304\u0305 done",
    "half a pair: \ud800 and \udfff",
    "\ue000\uf8ff private",
    "ﷺ﷽𒐫",
)
_GLUE: Final = ("{}{}", "{} {}", "{}\n{}", "<i>{}</i>{}")

CORPUS: Final = tuple(
    dict.fromkeys(
        [
            *_BASE,
            *(
                _GLUE[number % len(_GLUE)].replace("{}", "%s") % pair
                for number, pair in enumerate(itertools.combinations(_BASE, 2))
            ),
        ]
    )
)[:420]
