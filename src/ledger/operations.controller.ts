import { Controller, Get, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiServiceUnavailableResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Kernel } from '../kernel/kernel.js';

/** For those who run the service: is it alive, is it ready, how does it do. */
@Controller()
@ApiTags('operations')
export class OperationsController {
  constructor(private readonly kernel: Kernel) {}

  @Get('livez')
  @ApiOperation({ summary: 'The process answers' })
  @ApiOkResponse()
  live(): { status: string } {
    return { status: 'ok' };
  }

  @Get('readyz')
  @ApiOperation({ summary: 'The views follow the log; 503 until they do' })
  @ApiOkResponse()
  @ApiServiceUnavailableResponse()
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<object> {
    const views = await this.kernel.serving.status();
    // Each answers, if only as it stood where it met a poison event.
    const answered = views.every(({ collection, poison }) => collection !== null || poison !== null);
    const ready = this.kernel.runtime.ready() && answered;
    if (!ready) reply.status(503).header('retry-after', '1');
    return {
      status: ready ? 'ready' : 'starting',
      views: Object.fromEntries(
        views.map(({ name, state, position, head, poison }) => [
          name,
          { state, position, head, ...(poison ? { poison } : {}) },
        ]),
      ),
    };
  }

  @Get('metrics')
  @ApiOperation({ summary: 'Figures in the text format of Prometheus' })
  @ApiOkResponse()
  async metrics(@Res() reply: FastifyReply): Promise<void> {
    const { contentType, body } = await this.kernel.metrics.scrape();
    await reply.header('content-type', contentType).send(body);
  }
}
