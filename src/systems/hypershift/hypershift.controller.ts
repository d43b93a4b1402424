import { applyDecorators, Controller } from '@nestjs/common';
import { ApiHeader, ApiProperty, ApiResponse, ApiTags } from '@nestjs/swagger';

/** Every refusal: a text, and sometimes more. */
export class ErrorBody {
  @ApiProperty({ description: 'What is wrong. Never empty.', example: 'Run not found' })
  error!: string;
}

/** A controller of this dialect: base path, OpenAPI group and headers in one place. */
export const HypershiftController = (path: string): ClassDecorator =>
  applyDecorators(
    Controller(`hypershift${path === '' ? '' : `/${path}`}`),
    ApiTags('hypershift'),
    ApiResponse({ status: 'default', description: 'Refused', type: ErrorBody }),
  );

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
