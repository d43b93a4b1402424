import { describe, expect, it } from '@jest/globals';
import { SecretBox } from './secret-box.js';

const box = new SecretBox(Buffer.alloc(32, 1));

describe('a sealed secret', () => {
  it('opens with its key, for what it belongs to', () => {
    expect(box.open(box.seal('whsec_x', 'a'), 'a')).toBe('whsec_x');
  });

  it('looks different each time, and shows nothing', () => {
    const [one, two] = [box.seal('a secret', 'a'), box.seal('a secret', 'a')];
    expect(one).not.toBe(two);
    expect(Buffer.from(one, 'base64').includes('a secret')).toBe(false);
  });

  it('opens neither with another key nor for anything else', () => {
    const sealed = box.seal('whsec_x', 'a');
    expect(new SecretBox(Buffer.alloc(32, 2)).open(sealed, 'a')).toBeUndefined();
    expect(box.open(sealed, 'b')).toBeUndefined();
  });

  it('does not open when one byte of it was changed, or it was cut', () => {
    const sealed = Buffer.from(box.seal('whsec_x', 'a'), 'base64');
    for (let index = 0; index < sealed.length; index++) {
      const altered = Buffer.from(sealed);
      altered.writeUInt8(altered.readUInt8(index) ^ 1, index);
      expect(box.open(altered.toString('base64'), 'a')).toBeUndefined();
      expect(box.open(sealed.subarray(0, index).toString('base64'), 'a')).toBeUndefined();
    }
  });
});
