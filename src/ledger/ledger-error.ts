import { ApiProperty } from '@nestjs/swagger';

/** Every refusal below `/ledger`: a text, and sometimes more. */
export class LedgerError {
  @ApiProperty({ description: 'What is wrong, and what to do. Never empty.', example: 'Not found' })
  error!: string;
}
