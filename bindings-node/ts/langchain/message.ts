/** LangChain's messages as servers show them: the shape of OpenAI's chat API. Classes are told by what they can do, not by import. */

type Fields = Record<string, unknown>;

const ROLES: Record<string, string> = { human: "user", ai: "assistant", system: "system", tool: "tool", function: "function" };

/** How deep messages are looked for inside of values: a state's lists, and what a step changes of them. */
const DEEPEST = 3;
const MOST_MEMBERS = 1000;

function fieldsOf(value: unknown): Fields | undefined {
  return typeof value === "object" && value !== null ? (value as Fields) : undefined;
}

/** The type of a message, `undefined` for what is none. */
export function typeOf(value: unknown): string | undefined {
  const fields = fieldsOf(value);
  if (fields === undefined || !("content" in fields)) {
    return undefined;
  }
  const ask = fields["getType"] ?? fields["_getType"];
  if (typeof ask !== "function") {
    return undefined;
  }
  const type: unknown = ask.call(value);
  return typeof type === "string" ? type : undefined;
}

function filled(value: unknown): boolean {
  const fields = fieldsOf(value);
  return fields === undefined ? value !== undefined && value !== null && value !== "" : Object.values(fields).some((member) => member !== undefined && member !== null);
}

function message(value: unknown, type: string): Fields {
  const of = value as Fields;
  const role = ROLES[type] ?? (typeof of["role"] === "string" && of["role"] !== "" ? of["role"] : type);
  const shown: Fields = { role, content: of["content"] };
  for (const name of type === "ai" ? ["tool_calls", "invalid_tool_calls"] : type === "tool" ? ["tool_call_id"] : []) {
    if (filled(of[name])) {
      shown[name] = of[name];
    }
  }
  if (filled(of["name"])) {
    shown["name"] = of["name"];
  }
  const more: Fields = {};
  for (const [name, member] of Object.entries(fieldsOf(of["additional_kwargs"]) ?? {})) {
    // The provider's form of calls that are there already.
    if (filled(member) && !(name === "tool_calls" && "tool_calls" in shown)) {
      more[name] = member;
    }
  }
  if (Object.keys(more).length > 0) {
    shown["additional_kwargs"] = more;
  }
  return shown;
}

/** A value with its messages, prompts and commands as they are shown; the same value where it has none. */
export function shown(value: unknown, depth = 0): unknown {
  const of = fieldsOf(value);
  if (of === undefined) {
    return value;
  }
  const type = typeOf(value);
  if (type !== undefined) {
    return message(value, type);
  }
  if (depth >= DEEPEST) {
    return value;
  }
  if (Array.isArray(value)) {
    return value.length > MOST_MEMBERS ? value : changed(value, depth);
  }
  if (typeof of["toChatMessages"] === "function") {
    // A prompt's value.
    return Array.isArray(of["messages"]) ? shown(of["messages"], depth) : (of["value"] ?? value);
  }
  if (of["lg_name"] === "Command") {
    const { graph, goto, update, resume } = of;
    return shown({ ...(filled(graph) ? { graph } : {}), ...(filled(goto) ? { goto } : {}), ...(filled(update) ? { update } : {}), ...(resume === undefined ? {} : { resume }) }, depth);
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null ? members(of, depth) : value;
}

function changed(values: unknown[], depth: number): unknown {
  let other: unknown[] | undefined;
  for (let at = 0; at < values.length; at += 1) {
    const made = shown(values[at], depth + 1);
    if (made !== values[at]) {
      other ??= values.slice();
      other[at] = made;
    }
  }
  return other ?? values;
}

function members(of: Fields, depth: number): unknown {
  let other: Fields | undefined;
  let count = 0;
  for (const name of Object.keys(of)) {
    if ((count += 1) > MOST_MEMBERS) {
      break;
    }
    const value = of[name];
    const made = shown(value, depth + 1);
    if (made !== value) {
      other ??= { ...of };
      other[name] = made;
    }
  }
  return other ?? of;
}

/** What goes into a chain: messages that are all of it stand alone. */
export function asked(inputs: unknown): unknown {
  const only = sole(inputs);
  const value = only?.name === "messages" || only?.name === "input" ? only.value : undefined;
  if (Array.isArray(value) && value.length > 0 && value.every((each) => typeOf(each) !== undefined)) {
    return shown(value);
  }
  return only?.name === "content" && typeof only.value === "string" ? only.value : shown(inputs);
}

/** What comes out of it: text that LangChain has wrapped stands alone. */
export function answered(outputs: unknown): unknown {
  const only = sole(outputs);
  return only?.name === "output" && (typeof only.value === "string" || typeOf(only.value) !== undefined) ? shown(only.value) : shown(outputs);
}

function sole(value: unknown): { name: string; value: unknown } | undefined {
  const of = fieldsOf(value);
  if (of === undefined || Array.isArray(value)) {
    return undefined;
  }
  const names = Object.keys(of);
  return names.length === 1 ? { name: names[0] as string, value: of[names[0] as string] } : undefined;
}
