import { describe, expect, it } from '@jest/globals';
import { decodable } from './url.js';

describe('decodable', () => {
  it.each(['/', '/runs/a%20b?x=%zz', '/runs/%C3%A9/logs', '/runs/..%2F', '', '*'])('leaves %j as it is', (url) => {
    expect(decodable(url)).toBe(url);
  });

  it.each([
    ['/runs/%zz', '/runs/%25zz'],
    ['/runs/%', '/runs/%25'],
    ['/runs/%ff?tag=%ff', '/runs/%25ff?tag=%ff'],
    ['/a%20b/%zz', '/a%2520b/%25zz'],
  ])('takes %j literally', (url, literal) => {
    expect(decodable(url)).toBe(literal);
    expect(decodeURIComponent(literal.split('?', 1)[0] ?? '')).toBe(url.split('?', 1)[0]);
  });
});
