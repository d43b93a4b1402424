import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import type { Tier } from '../../../../contracts/hypershift/workspace.events.js';
import type { ApiKeyDoc } from '../../../../projections/hypershift/api-key.view.js';
import type { WorkspaceDoc } from '../../../../projections/hypershift/workspace.view.js';
import { Refused } from '../../../kernel/errors.js';
import type { NewApiKey } from '../keys/api-keys.js';
import { isObject } from '../runs/runs.dto.js';
import { isTier } from './tiers.js';

const TIERS = ['free', 'pro'] as const;

export class CreateWorkspaceDto {
  @ApiPropertyOptional({ default: 'My Workspace' })
  name?: string;
}

export class ChangeTierDto {
  @ApiProperty({ enum: TIERS })
  tier!: Tier;
}

export class CreateApiKeyDto {
  @ApiPropertyOptional({ default: 'API key' })
  name?: string;
}

export class WorkspaceBody {
  @ApiProperty({ example: 'ws-mi8x2k1a-4f9d0c' })
  id!: string;
  @ApiProperty()
  name!: string;
  @ApiProperty({ enum: TIERS })
  tier!: string;
  @ApiProperty({ format: 'date-time' })
  created_at!: string;
}

export class ApiKeyBody {
  @ApiProperty({ example: 'key_0f3a9c21' })
  id!: string;
  @ApiProperty()
  name!: string;
  @ApiProperty({ example: '0f3a9c21' })
  key_prefix!: string;
  @ApiProperty({ format: 'date-time' })
  created_at!: string;
}

export class NewApiKeyBody extends ApiKeyBody {
  @ApiProperty({ description: 'Shown this once.' })
  key!: string;
}

export class ApiKeyListBody {
  @ApiProperty({ type: [ApiKeyBody], description: 'Newest first.' })
  keys!: readonly ApiKeyBody[];
}

export class RevokedBody {
  @ApiProperty({ example: 'Revoked' })
  message!: string;
}

/** The name that a body gives, trimmed; undefined when it gives none. */
export function readName(body: unknown): string | undefined {
  const { name } = isObject(body) ? body : {};
  return typeof name === 'string' ? name.trim() : undefined;
}

/** @throws Refused `invalid` when the body names no tier. */
export function readTier(body: unknown): Tier {
  const { tier } = isObject(body) ? body : {};
  if (isTier(tier)) return tier;
  throw new Refused('invalid', "Body must include tier: 'free' or 'pro'");
}

export function toWorkspace({ id, name, tier, createdAt }: WorkspaceDoc): WorkspaceBody {
  return { id, name, tier, created_at: createdAt };
}

export function toApiKey({ id, name, prefix, createdAt }: ApiKeyDoc): ApiKeyBody {
  return { id, name, key_prefix: prefix, created_at: createdAt };
}

export function toNewApiKey({ id, name, key, prefix, createdAt }: NewApiKey): NewApiKeyBody {
  return { id, name, key, key_prefix: prefix, created_at: createdAt };
}
