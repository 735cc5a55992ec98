/**
 * Exchanges that put a runtime on trial, each of them one rule that a node must keep whatever its program is. They are
 * made by hand, since a cluster of right nodes never sends half of them.
 */
import { codeOf, RequestError } from "#reference/maelstrom/errors.ts";
import type { Body } from "#reference/maelstrom/message.ts";
import type { MakeProgram } from "#reference/maelstrom/node.ts";
import type { Exchange } from "./bench.ts";

/** A program with which a runtime shows what it can do. */
export const probe: MakeProgram = ({ call, log, id }) => ({
  echo: ({ echo }) => ({ type: "echo_ok", echo: echo!, node: id }),
  ask: async ({ peer }) => {
    const result = await call((peer as string | undefined) ?? "n2", { type: "question" });
    if (result.kind === "reply") return { type: "ask_ok", answer: result.body["answer"]! };
    if (result.kind === "timeout") throw new RequestError("timeout", "no answer");
    return { type: "ask_ok", code: result.code, isDefinite: result.isDefinite };
  },
  question: () => ({ type: "question_ok", answer: 7 }),
  refuse: ({ code }) => {
    throw new RequestError(code as number, "refused");
  },
  shout: () => {
    log({ level: "info", msg: "somebody shouts" });
    return { type: "shout_ok" };
  },
});

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const lineOf = (body: Body): string => `${JSON.stringify({ src: "c1", dest: "n1", body })}\n`;

/** Played with `probe` as the node's program. */
export const runtimeExchanges: readonly Exchange[] = [
  {
    name: "init",
    rule: "init is answered with init_ok",
    async play(bench) {
      await bench.say("c0", { type: "init", msg_id: 4, node_id: "n1", node_ids: ["n1"] });
      bench.expect(bench.answerTo(4, "c0")?.type === "init_ok", "init was not answered with init_ok");
    },
  },
  {
    name: "numbers",
    rule: "each request has a number of its own, and each answer goes to the request that it names",
    async play(bench) {
      await bench.init();
      for (const id of [1, 2, 3]) await bench.say("c1", { type: "ask", msg_id: id });
      const numbers = bench.asked("n2", "question").map(({ msg_id: number }) => number!);
      bench.expect(new Set(numbers).size === 3, `three requests had the numbers ${numbers.join(", ")}`);
      for (const [index, number] of [...numbers.entries()].toReversed()) {
        await bench.say("n2", { type: "question_ok", in_reply_to: number, answer: index });
      }
      const answers = [1, 2, 3].map((id) => bench.answerTo(id)?.["answer"]);
      const shown = JSON.stringify(answers);
      bench.expect(shown === "[0,1,2]", `answers went to the wrong requests: ${shown}`);
    },
  },
  {
    name: "only-protocol",
    rule: "standard output carries messages and nothing else",
    async play(bench) {
      await bench.init();
      await bench.say("c1", { type: "shout", msg_id: 2 });
      bench.expect(bench.noise.length === 0, `wrote ${JSON.stringify(bench.noise[0])} to standard output`);
    },
  },
  {
    name: "waiting",
    rule: "a handler that waits for a peer holds up nobody",
    async play(bench) {
      await bench.init();
      await bench.say("c1", { type: "ask", msg_id: 2 });
      await bench.say("n2", { type: "question", msg_id: 9 });
      bench.expect(
        bench.answerTo(9, "n2") !== undefined,
        "a peer waits for the node, which waits for the peer",
      );
    },
  },
  {
    name: "early",
    rule: "what comes before init is carried out after it",
    async play(bench) {
      await bench.say("n2", { type: "question", msg_id: 9 });
      bench.expect(bench.sent.length === 0, "answered before it knew its name");
      await bench.init();
      await bench.say("c1", { type: "echo", msg_id: 2, echo: 1 });
      bench.expect(bench.answerTo(2) !== undefined, "is dead after a message that came before init");
    },
  },
  {
    name: "early-kept",
    rule: "a peer that was faster gets its answer too",
    async play(bench) {
      await bench.say("n2", { type: "question", msg_id: 9 });
      await bench.say("c0", { type: "init", msg_id: 1, node_id: "n1", node_ids: ["n1", "n2"] });
      bench.expect(bench.answerTo(9, "n2") !== undefined, "what came before init was never answered");
    },
  },
  {
    name: "unknown-type",
    rule: "a request that nobody handles is answered with error 10",
    async play(bench) {
      await bench.init();
      for (const [id, type] of ["nope", "toString"].entries()) {
        await bench.say("c1", { type, msg_id: 10 + id });
        const code = bench.answerTo(10 + id)?.["code"];
        bench.expect(code === codeOf("not-supported"), `${type} was answered with ${shownOf(code)}`);
      }
    },
  },
  {
    name: "silence",
    rule: "no answer is neither success nor failure",
    async play(bench) {
      await bench.init();
      await bench.say("c1", { type: "ask", msg_id: 2 });
      await bench.wait(60_000);
      const answer = bench.answerTo(2);
      bench.expect(answer?.["code"] === codeOf("timeout"), `silence became ${JSON.stringify(answer)}`);
    },
  },
  {
    name: "chunks",
    rule: "a line may come in pieces, and a piece may hold many lines",
    async play(bench) {
      await bench.init();
      const text = [2, 3, 4].map((id) => lineOf({ type: "echo", msg_id: id, echo: "x" })).join("");
      for (const piece of [text.slice(0, 20), text.slice(20, 150), text.slice(150)])
        await bench.push(bytesOf(piece));
      const answered = [2, 3, 4].filter((id) => bench.answerTo(id) !== undefined);
      bench.expect(answered.length === 3, `of three lines in other pieces ${answered.length} were read`);
    },
  },
  {
    name: "characters",
    rule: "a piece may end in the middle of a character",
    async play(bench) {
      await bench.init();
      const bytes = bytesOf(lineOf({ type: "echo", msg_id: 2, echo: "é🙂" }));
      for (const byte of bytes) await bench.push(Uint8Array.of(byte));
      bench.expect(
        bench.answerTo(2)?.["echo"] === "é🙂",
        `é🙂 was read as ${shownOf(bench.answerTo(2)?.["echo"])}`,
      );
    },
  },
  {
    name: "malformed",
    rule: "a line that is no message is skipped",
    async play(bench) {
      await bench.init();
      await bench.push(bytesOf('not json\n[]\n{"src":1}\n'));
      await bench.say("c1", { type: "echo", msg_id: 2, echo: 1 });
      bench.expect(bench.answerTo(2) !== undefined, "is dead after a line that was no message");
    },
  },
  {
    name: "other-node",
    rule: "a message for another node is not this one's, nor is an answer from one that was not asked",
    async play(bench) {
      await bench.init();
      await bench.say("c1", { type: "echo", msg_id: 2, echo: 1 }, "n2");
      bench.expect(bench.answerTo(2) === undefined, "answered a request to n2");
      await bench.say("c1", { type: "ask", msg_id: 3 });
      const [question] = bench.asked("n2", "question");
      const reply = { type: "question_ok", in_reply_to: question?.msg_id ?? 1, answer: 0 };
      await bench.say("n2", reply, "n3");
      await bench.say("n3", reply);
      bench.expect(bench.answerTo(3) === undefined, "took an answer that was not for it, or not from n2");
    },
  },
  {
    name: "codes",
    rule: "an error is passed on with its code, and is definite only if the protocol says so",
    async play(bench) {
      await bench.init();
      for (const code of [0, 13, 14, 20, 22, 1000]) {
        await bench.say("c1", { type: "refuse", msg_id: code, code });
        const said = bench.answerTo(code)?.["code"];
        bench.expect(said === code, `error ${code} left the node as ${shownOf(said)}`);
        await bench.say("c2", { type: "ask", msg_id: code });
        const number = bench.asked("n2", "question").at(-1)?.msg_id ?? 0;
        await bench.say("n2", { type: "error", in_reply_to: number, code, text: "" });
        const answer = bench.answerTo(code, "c2");
        const isDefinite = [14, 20, 22].includes(code);
        const isRight = answer?.["code"] === code && answer["isDefinite"] === isDefinite;
        bench.expect(isRight, `error ${code} is taken for ${JSON.stringify(answer)}`);
      }
    },
  },
];

/** A value of an answer, for a complaint. */
function shownOf(value: unknown): string {
  return JSON.stringify(value) ?? "nothing";
}
