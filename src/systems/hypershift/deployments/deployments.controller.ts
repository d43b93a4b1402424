import { Get, Param, Res, StreamableFile } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiParam } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Refused } from '../../../kernel/errors.js';
import { HypershiftController, Refusals } from '../hypershift.controller.js';
import { Deployments } from './deployments.js';

@HypershiftController('deployments')
export class DeploymentsController {
  constructor(private readonly deployments: Deployments) {}

  @Get(':runId')
  @ApiOperation({ summary: "A deployment's index page" })
  @ApiOkResponse({ description: 'The file as it was built' })
  @Refusals(404)
  async index(@Param('runId') runId: string, @Res({ passthrough: true }) reply: FastifyReply): Promise<StreamableFile> {
    return this.send(runId, '', reply);
  }

  @Get(':runId/*')
  @ApiOperation({ summary: 'A file of a deployment' })
  @ApiParam({ name: '*', description: 'Within the deployment; a folder stands for its index.html' })
  @ApiOkResponse({ description: 'The file as it was built' })
  @Refusals(404)
  async file(
    @Param('runId') runId: string,
    @Param('*') path: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<StreamableFile> {
    return this.send(runId, path, reply);
  }

  private async send(runId: string, path: string, reply: FastifyReply): Promise<StreamableFile> {
    const file = await this.deployments.open(runId, path);
    if (!file) throw new Refused('not_found', 'Not found');
    const { contentType, sizeBytes, sha256 } = file.info;
    reply.header('x-content-type-options', 'nosniff').header('etag', `"${sha256}"`);
    return new StreamableFile(file.content, { type: contentType, length: sizeBytes });
  }
}
