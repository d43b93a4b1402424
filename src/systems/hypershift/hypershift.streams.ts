import { streamPart } from '../../kernel/stream-part.js';

/** Names of HyperShift's streams. Ids from outside are escaped: they may hold anything. */
export const runStream = (runId: string): string => `hypershift.run-${streamPart(runId)}`;
export const workspaceStream = (tenant: string): string => `hypershift.workspace-${streamPart(tenant)}`;
export const usageStream = (tenant: string, period: string): string =>
  `hypershift.usage-${streamPart(tenant)}-${period}`;
export const apiKeyStream = (prefix: string): string => `hypershift.apikey-${prefix}`;

/** The first day of a time's month, UTC: HyperShift API, "Usage". */
export function periodOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 7)}-01`;
}
