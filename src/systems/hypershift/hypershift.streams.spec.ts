import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { MAX_STREAM_NAME } from '../../kernel/ports/event-log.js';
import { periodOf, runStream, usageStream, workspaceStream } from './hypershift.streams.js';

describe('stream names', () => {
  it('are readable for ordinary ids', () => {
    expect(runStream('req-k3x-0a1b2c3d')).toBe('hypershift.run-req-k3x-0a1b2c3d');
    expect(usageStream('team/blue 42', '2026-02-01')).toBe('hypershift.usage-team%2Fblue%2042-2026-02-01');
  });

  it('are short enough for every id that is allowed', () => {
    const id = fc.oneof(fc.string({ unit: 'binary', maxLength: 128 }), fc.constant('日'.repeat(128)));
    fc.assert(
      fc.property(id, (tenant) => {
        for (const stream of [workspaceStream(tenant), usageStream(tenant, '2026-02-01'), runStream(tenant)]) {
          expect(stream.length).toBeLessThanOrEqual(MAX_STREAM_NAME);
          expect(stream).toMatch(/^hypershift\.[a-z]+-[\x21-\x7e]*$/);
        }
      }),
    );
    expect(runStream('x'.repeat(16_000)).length).toBeLessThanOrEqual(MAX_STREAM_NAME);
  });

  it('differ for different ids, long and short', () => {
    const ids = ['é'.repeat(128), `${'é'.repeat(127)}ê`, 'é'.repeat(64), 'a', 'A', 'a/', 'a%2F', 'a b', 'a%20b', ''];
    expect(new Set(ids.map(workspaceStream)).size).toBe(ids.length);
    const digest = workspaceStream('é'.repeat(128)).slice('hypershift.workspace-'.length);
    expect(workspaceStream(digest)).not.toBe(workspaceStream('é'.repeat(128)));
  });

  it('of a month go by UTC', () => {
    expect(periodOf(Date.parse('2026-02-28T23:59:59.999Z'))).toBe('2026-02-01');
    expect(periodOf(Date.parse('2026-03-01T00:00:00.000Z'))).toBe('2026-03-01');
  });
});
