import { createHash } from 'node:crypto';

/** Leaves room for what stands before and after an id: a stream's name has at most 500 characters. */
const MAX_ENCODED = 400;

/** Names of HyperShift's streams. Ids from outside are escaped: they may hold anything. */
export const runStream = (runId: string): string => `hypershift.run-${encode(runId)}`;
export const workspaceStream = (tenant: string): string => `hypershift.workspace-${encode(tenant)}`;
export const usageStream = (tenant: string, period: string): string => `hypershift.usage-${encode(tenant)}-${period}`;
export const apiKeyStream = (prefix: string): string => `hypershift.apikey-${prefix}`;

/** The first day of a time's month, UTC: HyperShift API, "Usage". */
export function periodOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 7)}-01`;
}

/**
 * `encodeURIComponent`, but it never throws (a lone surrogate becomes U+FFFD), and what becomes too long for a stream's
 * name is replaced by its digest: 128 characters of a workspace id may take 1,152 when they are escaped.
 */
function encode(text: string): string {
  const encoded = encodeURIComponent(text.toWellFormed());
  if (encoded.length <= MAX_ENCODED) return encoded;
  // No other id begins so: `%` is followed by hexadecimal digits wherever it was made by escaping.
  return `%sha256-${createHash('sha256').update(encoded).digest('hex')}`;
}
