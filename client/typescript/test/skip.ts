/**
 * Logs and returns the reason why tests are skipped. In continuous integration
 * (CI=true) nothing may be skipped, and it throws instead.
 */
export function lacking(reason: string): string {
  if (process.env["CI"] === "true") {
    throw new Error(`would be skipped: ${reason}`);
  }
  console.error(`=== SKIPPED: ${reason}`);
  return reason;
}
