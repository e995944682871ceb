/** What the agent knows: a seeded shelf of short documents. */

const SUBJECTS = ["invoice", "refund", "delivery", "password", "warranty", "subscription", "discount", "return", "address", "order"];
const VERBS = ["change", "cancel", "track", "renew", "pay", "verify", "export", "delay", "split", "reopen"];
const NOUNS = [
  "account", "amount", "branch", "carrier", "cart", "chat", "contract", "country", "courier", "credit", "customer", "date", "depot",
  "device", "email", "fee", "form", "gift", "guide", "letter", "limit", "locker", "member", "month", "notice", "number", "office",
  "option", "parcel", "partner", "period", "phone", "plan", "policy", "portal", "price", "receipt", "reason", "region", "review",
  "rule", "season", "seller", "service", "shop", "size", "stamp", "status", "store", "tax", "team", "ticket", "token", "voucher",
]; // prettier-ignore
export const SHELF_SIZE = 60;

/** Numbers in [0, 1): the same ones for the same seed. */
export function dice(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 4294967296;
  };
}

const pick = (roll, words) => words[Math.floor(roll() * words.length)];

/** So many words. */
export function words(roll, count) {
  return Array.from({ length: count }, (_, turn) => pick(roll, turn % 3 ? NOUNS : VERBS)).join(" ");
}

const shelfDice = dice(7);
const SHELF = Array.from({ length: SHELF_SIZE }, (_, number) => ({
  id: `doc-${String(number).padStart(3, "0")}`,
  title: `How to ${pick(shelfDice, VERBS)} a ${pick(shelfDice, SUBJECTS)}`,
  text: Array.from({ length: 3 }, () => `${words(shelfDice, 9)}.`).join(" "),
}));
const INDEX = SHELF.map((document) => new Set(`${document.title} ${document.text}`.toLowerCase().replaceAll(".", "").split(" ")));

/** The documents that share most words with the question, best first. */
export function search(question, limit = 3) {
  const wanted = [...new Set(question.toLowerCase().replace("?", "").split(" "))];
  const shared = INDEX.map((found, number) => [wanted.filter((word) => found.has(word)).length, number]);
  return shared
    .sort(([one, first], [other, second]) => other - one || first - second)
    .slice(0, limit)
    .map(([, number]) => SHELF[number]);
}

/** What the tool answers: a price that depends on the documents alone. */
export function price(documents) {
  const cents = documents.reduce((sum, document) => sum + document.text.length, 0);
  return { currency: "EUR", amount: cents / 100, documents: documents.map((document) => document.id) };
}
