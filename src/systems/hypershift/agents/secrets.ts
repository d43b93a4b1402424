export type Severity = 'low' | 'medium' | 'high' | 'critical';

/** A credential in a text; `masked` tells its kind and nothing of its value. */
export interface Secret {
  readonly title: string;
  readonly severity: Severity;
  readonly masked: string;
  /** Where it begins in the text, in UTF-16 units. */
  readonly index: number;
}

interface SecretRule {
  readonly title: string;
  readonly severity: Severity;
  /** Global; runs in linear time on any text, because texts are untrusted. */
  readonly pattern: RegExp;
  /** Stands in for a match in masked texts, after the manner of `String.replace`. Matches no rule itself. */
  readonly mask: string;
  /** Stands for a match in a finding. @default the mask */
  readonly shown?: string;
}

const rules: readonly SecretRule[] = [
  {
    title: 'Payment key',
    severity: 'critical',
    pattern: /(sk_(?:live|test)_)[A-Za-z0-9]{16,}/g,
    mask: '$1***',
  },
  {
    title: 'AWS access key id',
    severity: 'critical',
    pattern: /(AKIA)[0-9A-Z]{16,}/g,
    mask: '$1***',
  },
  {
    title: 'GitHub token',
    severity: 'critical',
    pattern: /(gh[oprsu]_|github_pat_)[A-Za-z0-9_]{16,}/g,
    mask: '$1***',
  },
  {
    title: 'Private key',
    severity: 'critical',
    // Takes the whole block, or all the rest where the end is missing: masking the header alone would show the key.
    pattern:
      /-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----[^]*?(?:-----END [A-Z0-9 ]{0,80}-----|(?![^]))/g,
    mask: '[private key ***]',
  },
  {
    title: 'Literal value of a secret',
    severity: 'high',
    // A name with an optional type, `=`, `:`, `:=` or `=>`, and a quoted literal that is no reference to a variable.
    pattern:
      /((secret|token|password|api[_-]?key)[\w-]{0,64}["'`]?\]?(?:\s{0,8}:\s{0,8}[a-z]{1,20})?\s{0,8}(?::=|=>|[:=])\s{0,8})(?!["'`](?:\$\{[\w.]{1,80}\}|process\.env\.\w{1,80})["'`])(?:"[^"\r\n]{12,}"|'[^'\r\n]{12,}'|`[^`\r\n]{12,}`)/gi,
    mask: '$1"***"',
    shown: '$2 "***"',
  },
];

/** All credentials in a text, rule by rule. */
export function findSecrets(text: string): readonly Secret[] {
  return rules.flatMap(({ title, severity, pattern, mask, shown }) =>
    Array.from(text.matchAll(pattern), (match) => ({
      title,
      severity,
      masked: fill(shown ?? mask, match),
      index: match.index,
    })),
  );
}

/** The text with all credentials made unreadable. In the result `findSecrets` finds nothing. */
export function maskSecrets(text: string): string {
  return rules.reduce((masked, { pattern, mask }) => masked.replace(pattern, mask), text);
}

const fill = (template: string, match: RegExpExecArray): string =>
  template.replace(/\$(\d)/g, (_, group: string) => match[Number(group)] ?? '');
