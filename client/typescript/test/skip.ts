/** Prints and returns the reason to skip tests. In continuous integration (CI=true) it throws instead. */
export function skipReason(reason: string): string {
  if (process.env["CI"] === "true") {
    throw new Error(`tests would be skipped: ${reason}`);
  }
  console.error(`=== SKIPPED: ${reason}`);
  return reason;
}
