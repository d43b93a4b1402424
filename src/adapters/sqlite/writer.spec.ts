import { describe, expect, it } from '@jest/globals';
import { SqliteFolder } from '../../../test/support/sqlite-folder.js';
import { sealedEvent } from '../../../test/support/sealed-event.js';
import type { Job } from '../../kernel/ports/work-queue.js';

describe('Writer', () => {
  it('commits what is asked for in one tick together; a write of a wrong value fails alone', async () => {
    const folder = await SqliteFolder.open();
    try {
      const { log, queue, views } = folder.store;
      const wrong = { id: 'a', kind: 'sample.work', group: {}, payload: {} } as unknown as Job;
      const written = [{ collection: 'sample.view', documents: [{ key: 'k', position: 1, doc: {} }] }];
      await views.prepare('sample.view', { indexes: [] });
      const outcomes = await Promise.allSettled([
        queue.put([wrong]),
        log.append('sample.stream', 'none', [sealedEvent()]),
        views.write(written),
      ]);
      expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
      expect(await log.readStream('sample.stream')).toHaveLength(1);
      expect(await views.load('sample.view', ['k'])).toHaveLength(1);
      expect(await queue.stats()).toEqual([]);
    } finally {
      await folder.close();
    }
  });

  it('does not know a collection any more that others have dropped, and makes it again', async () => {
    const folder = await SqliteFolder.open();
    try {
      const { views } = folder.store;
      const documents = [{ key: 'k', position: 1, doc: { n: 1 } }];
      const write = [{ collection: 'sample.view', documents }];
      await views.prepare('sample.view', { indexes: [{ fields: ['n'] }] });
      await views.write(write);
      expect(await views.count('sample.view')).toBe(1);
      folder.tamper('DROP TABLE "view:sample.view"');
      expect(await views.load('sample.view', ['k'])).toEqual([]);
      expect((await views.find('sample.view', { where: { n: 1 } })).documents).toEqual([]);
      expect(await views.count('sample.view')).toBe(0);
      await views.write(write);
      expect(await views.load('sample.view', ['k'])).toEqual(documents);
      folder.tamper('DROP TABLE "view:sample.view"');
      // It is met only when it comes to the disk; the next attempt knows.
      await expect(views.write(write)).rejects.toThrow('dropped');
      await views.write(write);
      expect(await views.count('sample.view')).toBe(1);
    } finally {
      await folder.close();
    }
  });
});
