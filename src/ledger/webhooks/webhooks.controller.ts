import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query, UsePipes } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiResponse,
  ApiTags,
} from '@nestjs/swagger';
import type { Caller } from '../access/caller.js';
import { CurrentCaller, Needs } from '../access/needs.js';
import { LedgerError } from '../ledger-error.js';
import { ledgerQuery } from '../query.js';
import { Deliveries } from './deliveries.js';
import { Webhooks } from './webhooks.js';
import * as dto from './webhooks.dto.js';

const INVALID = { status: 400, description: 'A field or parameter is not valid, or not known', type: LedgerError };
const NOT_FOUND = {
  status: 404,
  description: 'There is no such endpoint or delivery for the caller',
  type: LedgerError,
};
const DISABLED = { status: 409, description: 'The endpoint is disabled', type: LedgerError };

/** Who is told what happens, and what became of it. */
@Controller('ledger/webhooks')
@UsePipes(ledgerQuery)
@ApiTags('webhooks')
export class WebhooksController {
  constructor(
    private readonly webhooks: Webhooks,
    private readonly deliveries: Deliveries,
  ) {}

  @Post()
  @Needs('operate')
  @ApiOperation({
    summary: 'Tells the events of a tenant to an address from now on',
    description:
      'Signed after Standard Webhooks. What the ledger records of itself and of webhooks is not told. Ten attempts in about three days, `Retry-After` is obeyed; redirects are not followed, and addresses that are not public not reached unless `WEBHOOK_ALLOW_CIDRS` holds them.',
  })
  @ApiCreatedResponse({ type: dto.WebhookWithSecretBody })
  @ApiResponse(INVALID)
  @ApiResponse({ status: 409, description: 'The tenant has as many as it may', type: LedgerError })
  create(@Body() body: dto.CreateWebhookBody, @CurrentCaller() caller: Caller): Promise<dto.WebhookWithSecretBody> {
    return this.webhooks.create(body, caller);
  }

  @Get()
  @Needs('read')
  @ApiOperation({ summary: 'All endpoints that the caller may see' })
  @ApiOkResponse({ type: dto.WebhookListBody })
  @ApiResponse(INVALID)
  list(@Query() { tenant }: dto.ListWebhooksQuery, @CurrentCaller() caller: Caller): Promise<dto.WebhookListBody> {
    return this.webhooks.list(caller, tenant);
  }

  @Get(':id')
  @Needs('read')
  @ApiOperation({ summary: 'One endpoint, and how it does' })
  @ApiOkResponse({ type: dto.WebhookBody })
  @ApiResponse(NOT_FOUND)
  show(@Param('id') id: string, @CurrentCaller() caller: Caller): Promise<dto.WebhookBody> {
    return this.webhooks.show(id, caller);
  }

  @Patch(':id')
  @Needs('operate')
  @ApiOperation({ summary: 'Changes address or filter, for every attempt from now on' })
  @ApiOkResponse({ type: dto.WebhookBody })
  @ApiResponse(INVALID)
  @ApiResponse(NOT_FOUND)
  update(
    @Param('id') id: string,
    @Body() body: dto.UpdateWebhookBody,
    @CurrentCaller() caller: Caller,
  ): Promise<dto.WebhookBody> {
    return this.webhooks.update(id, body, caller);
  }

  @Delete(':id')
  @HttpCode(204)
  @Needs('operate')
  @ApiOperation({ summary: 'Ends it; what waits is not sent any more' })
  @ApiNoContentResponse()
  @ApiResponse(NOT_FOUND)
  delete(@Param('id') id: string, @CurrentCaller() caller: Caller): Promise<void> {
    return this.webhooks.delete(id, caller);
  }

  @Post(':id/enable')
  @HttpCode(200)
  @Needs('operate')
  @ApiOperation({ summary: 'Sends again, from where it stopped or a later position' })
  @ApiOkResponse({ type: dto.WebhookBody })
  @ApiResponse(INVALID)
  @ApiResponse(NOT_FOUND)
  enable(
    @Param('id') id: string,
    @Body() body: dto.EnableWebhookBody,
    @CurrentCaller() caller: Caller,
  ): Promise<dto.WebhookBody> {
    return this.webhooks.enable(id, body, caller);
  }

  @Post(':id/disable')
  @HttpCode(200)
  @Needs('operate')
  @ApiOperation({ summary: 'Sends nothing until it is enabled; what is recorded meanwhile waits' })
  @ApiOkResponse({ type: dto.WebhookBody })
  @ApiResponse(NOT_FOUND)
  disable(@Param('id') id: string, @CurrentCaller() caller: Caller): Promise<dto.WebhookBody> {
    return this.webhooks.disable(id, caller);
  }

  @Post(':id/rotate')
  @HttpCode(200)
  @Needs('operate')
  @ApiOperation({ summary: 'Signs with another secret, and for a while with the former too' })
  @ApiOkResponse({ type: dto.WebhookWithSecretBody })
  @ApiResponse(INVALID)
  @ApiResponse(NOT_FOUND)
  rotate(
    @Param('id') id: string,
    @Body() body: dto.RotateSecretBody,
    @CurrentCaller() caller: Caller,
  ): Promise<dto.WebhookWithSecretBody> {
    return this.webhooks.rotate(id, body, caller);
  }

  @Post(':id/test')
  @HttpCode(202)
  @Needs('operate')
  @ApiOperation({ summary: 'Sends a `webhook.test`, which is signed and tried like every delivery' })
  @ApiAcceptedResponse({ type: dto.RequestedDeliveryBody })
  @ApiResponse(NOT_FOUND)
  @ApiResponse(DISABLED)
  test(@Param('id') id: string, @CurrentCaller() caller: Caller): Promise<dto.RequestedDeliveryBody> {
    return this.deliveries.test(id, caller);
  }

  @Post(':id/resend')
  @HttpCode(202)
  @Needs('operate')
  @ApiOperation({
    summary: 'Sends again what was given up, or a part of the past',
    description: 'A delivery that is sent again keeps its `webhook-id`. One request asks for 200 deliveries at most.',
  })
  @ApiAcceptedResponse({ type: dto.ResentBody })
  @ApiResponse(INVALID)
  @ApiResponse(NOT_FOUND)
  @ApiResponse(DISABLED)
  resend(
    @Param('id') id: string,
    @Body() body: dto.ResendBody,
    @CurrentCaller() caller: Caller,
  ): Promise<dto.ResentBody> {
    return this.deliveries.resend(id, body, caller);
  }

  @Get(':id/deliveries')
  @Needs('read')
  @ApiOperation({ summary: 'Deliveries with their attempts, newest first' })
  @ApiOkResponse({ type: dto.DeliveryPageBody })
  @ApiResponse(INVALID)
  @ApiResponse(NOT_FOUND)
  listDeliveries(
    @Param('id') id: string,
    @Query() query: dto.ListDeliveriesQuery,
    @CurrentCaller() caller: Caller,
  ): Promise<dto.DeliveryPageBody> {
    return this.deliveries.list(id, query, caller);
  }

  @Get(':id/deliveries/:delivery')
  @Needs('read')
  @ApiOperation({ summary: 'One delivery, with its whole body' })
  @ApiOkResponse({ type: dto.DeliveryBody })
  @ApiResponse(NOT_FOUND)
  showDelivery(
    @Param('id') id: string,
    @Param('delivery') delivery: string,
    @CurrentCaller() caller: Caller,
  ): Promise<dto.DeliveryBody> {
    return this.deliveries.show(id, delivery, caller);
  }

  @Post(':id/deliveries/:delivery/resend')
  @HttpCode(202)
  @Needs('operate')
  @ApiOperation({ summary: 'Sends one delivery again, at once' })
  @ApiAcceptedResponse({ type: dto.RequestedDeliveryBody })
  @ApiResponse(NOT_FOUND)
  @ApiResponse(DISABLED)
  resendDelivery(
    @Param('id') id: string,
    @Param('delivery') delivery: string,
    @CurrentCaller() caller: Caller,
  ): Promise<dto.RequestedDeliveryBody> {
    return this.deliveries.resendOne(id, delivery, caller);
  }
}
