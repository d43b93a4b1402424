import { describe, expect, it } from '@jest/globals';
import * as errors from './errors.js';

type ErrorClass = new (...args: unknown[]) => Error & { readonly code?: string };

function isErrorClass(value: unknown): value is ErrorClass {
  return typeof value === 'function' && value.prototype instanceof Error;
}

const instances = Object.entries<unknown>(errors).flatMap(([name, Class]) =>
  isErrorClass(Class) ? [{ name, error: new Class('first', 'second', 'third') }] : [],
);

describe('the kernel’s errors', () => {
  it('all have a code that is listed with what to do about it, and nothing else is', () => {
    const codes = instances.filter(({ name }) => name !== 'Refused').map(({ error }) => error.code);
    expect(codes.sort()).toEqual(Object.keys(errors.errorCodes).sort());
    for (const advice of Object.values(errors.errorCodes)) expect(advice).toMatch(/\.$/);
  });

  it('are named after their class, so that a log tells them apart', () => {
    expect(instances.length).toBeGreaterThan(5);
    for (const { name, error } of instances) expect(error.name).toBe(name);
  });

  it('keep what caused them', () => {
    const cause = new Error('The disk is full');
    expect(new errors.Unavailable('The store refused a write', { cause }).cause).toBe(cause);
  });

  it('refuse without a number: a dialect gives it one', () => {
    const refused = new errors.Refused('limit_exceeded', 'Too many', { limit: 10 });
    expect(refused).toMatchObject({ kind: 'limit_exceeded', message: 'Too many', details: { limit: 10 } });
    expect(refused).not.toHaveProperty('status');
    expect(new errors.Refused('conflict', 'No').details).toEqual({});
  });
});
