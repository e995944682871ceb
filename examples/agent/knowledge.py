"""What the agent knows: a seeded shelf of short documents and the questions that users ask about them."""

from __future__ import annotations

import random

SUBJECTS = ["invoice", "refund", "delivery", "password", "warranty", "subscription", "discount", "return", "address", "order"]
VERBS = ["change", "cancel", "track", "renew", "pay", "verify", "export", "delay", "split", "reopen"]
NOUNS = [
    "account", "address", "amount", "branch", "carrier", "cart", "chat", "colour", "contract", "country", "courier", "credit",
    "customer", "date", "depot", "device", "email", "fee", "form", "gift", "guide", "letter", "limit", "locker", "market",
    "member", "month", "notice", "number", "office", "option", "page", "parcel", "partner", "period", "phone", "photo", "plan",
    "policy", "portal", "price", "receipt", "reason", "region", "review", "rule", "season", "seller", "service", "shop", "size",
    "stamp", "status", "store", "support", "tax", "team", "ticket", "title", "token", "tracking", "transfer", "value", "voucher",
]  # fmt: skip
SHELF_SIZE = 60


def sentence(dice: random.Random, words: int) -> str:
    """A sentence of so many words, drawn from the vocabulary."""
    drawn = [dice.choice(NOUNS) if turn % 3 else dice.choice(VERBS) for turn in range(words)]
    return " ".join(drawn).capitalize() + "."


def shelf(seed: int = 7) -> list[dict[str, object]]:
    """The documents: the same ones in every process."""
    dice = random.Random(seed)
    return [
        {
            "id": f"doc-{number:03d}",
            "title": f"How to {dice.choice(VERBS)} a {dice.choice(SUBJECTS)}",
            "text": " ".join(sentence(dice, 9) for _ in range(3)),
        }
        for number in range(SHELF_SIZE)
    ]


SHELF = shelf()


def question(number: int) -> str:
    """The question of request `number`."""
    dice = random.Random(number)
    return f"How do I {dice.choice(VERBS)} my {dice.choice(SUBJECTS)} when the {dice.choice(NOUNS)} has no {dice.choice(NOUNS)}?"


def search(text: str, limit: int = 3) -> list[dict[str, object]]:
    """The documents that share most words with the question, best first."""
    wanted = set(text.lower().strip("?").split())

    def shared(document: dict[str, object]) -> int:
        return len(wanted & set(f"{document['title']} {document['text']}".lower().replace(".", "").split()))

    return sorted(SHELF, key=shared, reverse=True)[:limit]


def price(documents: list[dict[str, object]]) -> dict[str, object]:
    """What the tool answers: a price that depends on the documents alone."""
    cents = sum(len(str(document["text"])) for document in documents)
    return {"currency": "EUR", "amount": cents / 100, "documents": [document["id"] for document in documents]}
