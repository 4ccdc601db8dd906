/**
 * The reason for which tests are skipped, after saying it aloud. In continuous
 * integration (CI=true), where nothing may be lacking, it throws instead.
 */
export function lacking(reason: string): string {
  if (process.env["CI"] === "true") {
    throw new Error(`would be skipped: ${reason}`);
  }
  console.error(`=== SKIPPED: ${reason}`);
  return reason;
}
