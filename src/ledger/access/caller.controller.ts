import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiTags } from '@nestjs/swagger';
import { accessScopes, type AccessScope } from '../../kernel/access-tokens.js';
import type { Caller } from './caller.js';
import { CurrentCaller, Needs } from './needs.js';

export class CallerBody {
  @ApiProperty({ description: 'The `actor` of what the caller brings about; `local` where there are no tokens' })
  name!: string;

  @ApiProperty({ enum: accessScopes, isArray: true })
  scopes!: AccessScope[];

  @ApiProperty({ type: [String], nullable: true, description: 'Null for all tenants' })
  tenants!: string[] | null;
}

/** For those who set tokens up. */
@Controller('ledger/caller')
@ApiTags('ledger')
export class CallerController {
  @Get()
  @Needs('read', 'operate', 'work')
  @ApiOperation({ summary: 'As whom the service knows the caller' })
  @ApiOkResponse({ type: CallerBody })
  caller(@CurrentCaller() { name, scopes, tenants }: Caller): CallerBody {
    return { name, scopes: [...scopes], tenants: tenants && [...tenants] };
  }
}
