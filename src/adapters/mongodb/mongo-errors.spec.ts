import { describe, expect, it } from '@jest/globals';
import { MongoNetworkError, MongoServerError, MongoWriteConcernError } from 'mongodb';
import { Unavailable } from '../../kernel/errors.js';
import { isDuplicateKey, isUnknownCollection, translated } from './mongo-errors.js';

const answered = (code: number, more: object = {}): MongoServerError =>
  new MongoServerError({ ok: 0, code, errmsg: `answer ${code}`, ...more });

const unacknowledged = { ok: 1, writeConcernError: { code: 64, errmsg: 'waited in vain' } } as const;

describe('an error of the driver', () => {
  it.each([
    ['a connection that broke', new MongoNetworkError('connection closed')],
    ['a time limit', answered(50)],
    ['a primary that steps down', answered(10_107)],
    ['a server that shuts down', answered(11_600)],
    ['a FerretDB that shuts down', answered(1, { errmsg: '[msg_find.go:344] context canceled after delay' })],
    ['a quorum that is lost', answered(91)],
    ['what the server marks as passing', answered(123_456, { errorLabels: ['RetryableWriteError'] })],
    ['a write that the majority has not acknowledged', new MongoWriteConcernError(unacknowledged)],
  ])('is Unavailable for %s', (_, error) => {
    const seen = translated(error);
    expect(seen).toBeInstanceOf(Unavailable);
    expect((seen as Unavailable).cause).toBe(error);
  });

  it.each([
    ['missing rights', answered(13)],
    ['a request that no server can carry out', answered(2)],
    ['an error in the server', answered(1)],
    ['what is not the driver’s', new TypeError('a bug')],
  ])('stays what it is for %s', (_, error) => {
    expect(translated(error)).toBe(error);
  });

  it('says what is there already, and what is not there', () => {
    expect([isDuplicateKey(answered(11_000)), isDuplicateKey(answered(26))]).toEqual([true, false]);
    expect([isUnknownCollection(answered(26)), isUnknownCollection(new Error('26'))]).toEqual([true, false]);
  });
});
