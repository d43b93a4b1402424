import { S3ServiceException } from '@aws-sdk/client-s3';
import { describe, expect, it } from '@jest/globals';
import { Unavailable } from '../../kernel/errors.js';
import { translated } from './s3-errors.js';

/** As the SDK gives them: the answer to HEAD has no body, so the error has no name that says more. */
function refused(name: string, sentAgoMs: number): S3ServiceException {
  const error = new S3ServiceException({ name, $fault: 'client', $metadata: { httpStatusCode: 403 } });
  const headers = { date: new Date(Date.now() - sentAgoMs).toUTCString() };
  return Object.assign(error, { $response: { statusCode: 403, headers } });
}

describe('a refusal by S3', () => {
  it.each([
    ['for the time of the request', refused('RequestTimeTooSkewed', 0)],
    ['without a word, by a server whose time is another', refused('403', 3_600_000)],
    ['without a word, by a server whose time is yet to come', refused('403', -3_600_000)],
  ])('%s is Unavailable: what comes next is signed for the time of the server', (_, error) => {
    expect(translated(error)).toBeInstanceOf(Unavailable);
  });

  it('of these credentials stays what it is', () => {
    const error = refused('AccessDenied', 0);
    expect(translated(error)).toBe(error);
  });
});
