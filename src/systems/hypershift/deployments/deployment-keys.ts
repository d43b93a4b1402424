/** What the keys of a run's published files begin with. */
export function deploymentKeys(runId: string): string {
  return `hypershift/deployments/${runId}/`;
}
