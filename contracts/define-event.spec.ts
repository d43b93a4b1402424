import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { defineEvent } from './define-event.js';

const data = z.object({ name: z.string() });
const upcast = (before: object): object => before;

describe('declaring an event', () => {
  it('of version 1 needs no upcast', () => {
    expect(defineEvent('thing.happened', { version: 1, data })).toEqual({
      type: 'thing.happened',
      version: 1,
      data,
      upcasts: {},
    });
  });

  it('keeps the step from every older version', () => {
    expect(
      Object.keys(defineEvent('thing.happened', { version: 3, data, upcasts: { 1: upcast, 2: upcast } }).upcasts),
    ).toEqual(['1', '2']);
  });

  it.each([
    ['no step at all', {}, 'version 3 has no upcast from version 1'],
    ['a step missing', { 1: upcast }, 'version 3 has no upcast from version 2'],
    ['a step past the newest', { 1: upcast, 2: upcast, 3: upcast }, 'the upcast from version 3 leads past 3'],
    ['a step before the first', { 0: upcast, 1: upcast, 2: upcast }, 'the upcast from version 0 leads past 3'],
  ])('with %s fails when it is loaded, not when it is read', (_name, upcasts, message) => {
    expect(() => defineEvent('thing.happened', { version: 3, data, upcasts })).toThrow(
      `Event thing.happened: ${message}`,
    );
  });
});
