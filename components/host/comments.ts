import type { HostFile } from "./applyScript";
import { STACK_DIRECTORY } from "./compose";

/**
 * A program of ours without the lines that are comments, for where every byte counts. Only whole lines go, and only in
 * the folder of our own scripts, none of which has a text that looks like a comment.
 */
export function withoutComments(file: HostFile): HostFile {
  if (!file.path.startsWith(`${STACK_DIRECTORY}/`)) return file;
  const { content } = file;
  if (file.path.endsWith(".mjs")) {
    return {
      ...file,
      content: content
        .replaceAll(/^[ \t]*\/\*\*[\s\S]*?\*\/\n/gm, "")
        .replaceAll(/^[ \t]*\/\/.*\n/gm, ""),
    };
  }
  return { ...file, content: content.replaceAll(/^[ \t]*#(?!!).*\n/gm, "") };
}
