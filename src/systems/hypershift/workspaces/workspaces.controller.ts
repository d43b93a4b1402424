import { Body, Delete, Get, HttpCode, Param, Patch, Post, UseGuards } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import { ApiBody, ApiCreatedResponse, ApiHeader, ApiOkResponse, ApiOperation } from '@nestjs/swagger';
import { HypershiftController, Refusals } from '../hypershift.controller.js';
import { TierSecretGuard } from './tier-secret.guard.js';
import {
  ChangeTier,
  CreateApiKey,
  CreateWorkspace,
  GetWorkspace,
  ListApiKeys,
  RevokeApiKey,
} from './workspace.handlers.js';
import * as dto from './workspaces.dto.js';

const SecretHeader = (): MethodDecorator =>
  ApiHeader({ name: 'X-Webhook-Secret', required: false, description: 'Needed where the operator has set a secret' });

@HypershiftController('workspaces')
export class WorkspacesController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Create a workspace' })
  @ApiBody({ type: dto.CreateWorkspaceDto, required: false })
  @ApiCreatedResponse({ type: dto.WorkspaceBody })
  @Refusals(422)
  async create(@Body() body: unknown): Promise<dto.WorkspaceBody> {
    return dto.toWorkspace(await this.commands.execute(new CreateWorkspace(dto.readName(body) ?? 'My Workspace')));
  }

  @Get(':id')
  @ApiOkResponse({ type: dto.WorkspaceBody })
  @Refusals(404)
  async get(@Param('id') id: string): Promise<dto.WorkspaceBody> {
    return dto.toWorkspace(await this.queries.execute(new GetWorkspace(id)));
  }

  @Patch(':id/tier')
  @UseGuards(TierSecretGuard)
  @SecretHeader()
  @ApiOperation({ summary: 'Set the tier; it counts at once' })
  @ApiBody({ type: dto.ChangeTierDto })
  @ApiOkResponse({ type: dto.WorkspaceBody })
  @Refusals(400, 401, 404)
  async changeTier(@Param('id') id: string, @Body() body: unknown): Promise<dto.WorkspaceBody> {
    return dto.toWorkspace(await this.commands.execute(new ChangeTier(id, dto.readTier(body))));
  }

  @Get(':id/api-keys')
  @UseGuards(TierSecretGuard)
  @SecretHeader()
  @ApiOkResponse({ type: dto.ApiKeyListBody })
  @Refusals(401, 404)
  async listKeys(@Param('id') id: string): Promise<dto.ApiKeyListBody> {
    return { keys: (await this.queries.execute(new ListApiKeys(id))).map(dto.toApiKey) };
  }

  @Post(':id/api-keys')
  @UseGuards(TierSecretGuard)
  @SecretHeader()
  @ApiBody({ type: dto.CreateApiKeyDto, required: false })
  @ApiCreatedResponse({ type: dto.NewApiKeyBody })
  @Refusals(401, 404, 422)
  async createKey(@Param('id') id: string, @Body() body: unknown): Promise<dto.NewApiKeyBody> {
    const name = dto.readName(body) || 'API key';
    return dto.toNewApiKey(await this.commands.execute(new CreateApiKey(id, name)));
  }

  @Delete(':id/api-keys/:keyId')
  @HttpCode(200)
  @UseGuards(TierSecretGuard)
  @SecretHeader()
  @ApiOkResponse({ type: dto.RevokedBody })
  @Refusals(401, 404)
  async revokeKey(@Param('id') id: string, @Param('keyId') keyId: string): Promise<dto.RevokedBody> {
    await this.commands.execute(new RevokeApiKey(id, keyId));
    return { message: 'Revoked' };
  }
}
