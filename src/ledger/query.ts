import { ValidationPipe, type ValidationError } from '@nestjs/common';
import { Refused } from '../kernel/errors.js';

/**
 * Checks the query of a route below `/ledger` against its DTO. A parameter that nobody knows is refused: a filter with
 * a slip of the pen would give more than was asked for, and look right.
 */
export const ledgerQuery = new ValidationPipe({
  transform: true,
  whitelist: true,
  forbidNonWhitelisted: true,
  exceptionFactory: (problems: ValidationError[]) => {
    const [first] = problems;
    const message = Object.values(first?.constraints ?? {})[0] ?? 'is not valid';
    return new Refused('invalid', message);
  },
});
