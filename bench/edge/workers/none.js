// The same loop without tracing.
export default {
  async fetch(request) {
    const count = Number(new URL(request.url).searchParams.get("n"));
    let sum = 0;
    for (let at = 0; at < count; at += 1) {
      const input = { question: `number ${at}`, more: ["a", "b"] };
      sum += JSON.stringify(input).length;
    }
    return new Response(String(sum));
  },
};
