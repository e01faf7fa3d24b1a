import { Writable } from "node:stream";

/** A stream that hands on whole lines, without their ends; `flush` hands on what has none yet. */
export function lineWriter(say: (line: string) => void): {
  readonly stream: Writable;
  readonly flush: () => void;
} {
  let rest = "";
  return {
    stream: new Writable({
      write(chunk: Buffer | string, _encoding, done) {
        const lines = (rest + chunk.toString()).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) say(line);
        done();
      },
    }),
    flush: () => {
      if (rest !== "") say(rest);
      rest = "";
    },
  };
}
