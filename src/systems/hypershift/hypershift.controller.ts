import { applyDecorators, Controller } from '@nestjs/common';
import { ApiHeader, ApiProperty, ApiResponse, ApiTags } from '@nestjs/swagger';

/** Every refusal: a text, and sometimes more. */
export class ErrorBody {
  @ApiProperty({ description: 'What is wrong. Never empty.', example: 'Run not found' })
  error!: string;
}

/** The refusal when a workspace has used up its month. */
export class LimitBody extends ErrorBody {
  @ApiProperty({ type: 'integer' })
  current!: number;

  @ApiProperty({ type: 'integer', enum: [10, 1000] })
  limit!: number;

  @ApiProperty({ example: '2025-02-01' })
  period!: string;
}

/** A controller of this dialect: base path, OpenAPI group and headers in one place. */
export const HypershiftController = (path: string): ClassDecorator =>
  applyDecorators(
    Controller(`hypershift${path === '' ? '' : `/${path}`}`),
    ApiTags('hypershift'),
    ApiResponse({ status: 500, description: 'Our fault; nothing more is told', type: ErrorBody }),
    ApiResponse({
      status: 503,
      description: 'A store cannot be reached: `Retry-After` says when to try again',
      type: ErrorBody,
    }),
  );

const REASONS = {
  400: 'The request is not valid, or not allowed in the present state',
  401: 'A key or secret is missing or wrong',
  402: 'The workspace has used up its runs of the month',
  404: 'There is no such thing, or not in the workspace that was named',
  422: 'The Idempotency-Key was used for another request',
} as const;

/** The refusals of a route, by status. 422 is that of a route that takes an Idempotency-Key. */
export const Refusals = (...statuses: (keyof typeof REASONS)[]): MethodDecorator =>
  applyDecorators(
    ...statuses.map((status) =>
      ApiResponse({ status, description: REASONS[status], type: status === 402 ? LimitBody : ErrorBody }),
    ),
    ...(statuses.includes(422) ? [IdempotencyKey] : []),
  );

const IdempotencyKey = ApiHeader({
  name: 'Idempotency-Key',
  required: false,
  description: 'Repeated within 24 hours, the request gives its first answer again and does nothing',
});

/** The headers that select a workspace. */
export const WorkspaceHeaders = (): MethodDecorator & ClassDecorator =>
  applyDecorators(
    ApiHeader({
      name: 'X-Workspace-Id',
      required: false,
      description: 'Workspace; `ws-default` when nothing names one',
    }),
    ApiHeader({ name: 'X-Org-Id', required: false, description: 'Another name of X-Workspace-Id' }),
    ApiHeader({
      name: 'Authorization',
      required: false,
      description: '`Bearer hs_…`: selects the workspace of the key',
    }),
  );
