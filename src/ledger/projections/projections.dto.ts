import { ApiProperty } from '@nestjs/swagger';

const STATES = ['building', 'live', 'rebuilding', 'paused', 'stopped'] as const;
const COLLECTION_STATES = ['serving', 'building', 'old', 'newer'] as const;

export class LagBody {
  @ApiProperty({ type: 'integer', description: 'Events of the log that the serving collection has not passed yet' })
  events!: number;

  @ApiProperty({ description: 'False where there are so many that `events` is an estimate' })
  exact!: boolean;

  @ApiProperty({ description: 'Age of the oldest of them, in seconds; 0 when there is none' })
  seconds!: number;
}

export class ProjectionErrorBody {
  @ApiProperty({ description: 'The collection that has stopped' })
  collection!: string;

  @ApiProperty({ type: 'integer', description: 'Of the event that cannot be folded' })
  position!: number;

  @ApiProperty({ format: 'uuid' })
  eventId!: string;

  @ApiProperty()
  stream!: string;

  @ApiProperty({ description: 'Why it cannot' })
  error!: string;
}

export class RebuildBody {
  @ApiProperty({ description: 'What is built beside the serving collection' })
  collection!: string;

  @ApiProperty({ type: 'integer' })
  position!: number;

  @ApiProperty({ minimum: 0, maximum: 1, description: 'How much of the log it has passed' })
  share!: number;

  @ApiProperty()
  paused!: boolean;

  @ApiProperty({ type: Number, nullable: true, description: 'Events per second, over the last ten; null: not known' })
  rate!: number | null;

  @ApiProperty({ type: Number, nullable: true, description: 'Seconds until it serves, at this rate; null: not known' })
  secondsLeft!: number | null;
}

export class CollectionBody {
  @ApiProperty({ example: 'sample.thing.v2.1' })
  name!: string;

  @ApiProperty({ type: 'integer', description: 'Of the view' })
  version!: number;

  @ApiProperty({ type: 'integer', description: 'Builds of one version are counted from 1' })
  build!: number;

  @ApiProperty({ enum: COLLECTION_STATES, description: '`newer`: made by a newer version of the code' })
  state!: (typeof COLLECTION_STATES)[number];
}

export class ProjectionBody {
  @ApiProperty()
  name!: string;

  @ApiProperty({ type: 'integer', description: 'Of the code that runs' })
  version!: number;

  @ApiProperty({
    enum: STATES,
    description:
      '`building`: nothing to answer from yet; `rebuilding`, `paused`: another collection is built beside the one that serves; `stopped`: at an event that cannot be folded, see `errors`',
  })
  state!: (typeof STATES)[number];

  @ApiProperty({ type: String, nullable: true, description: 'What queries are answered from' })
  collection!: string | null;

  @ApiProperty({ type: 'integer', description: 'How far the serving collection is' })
  position!: number;

  @ApiProperty({ type: 'integer', description: 'How far the log is' })
  head!: number;

  @ApiProperty({ type: LagBody })
  lag!: LagBody;

  @ApiProperty({ type: Number, nullable: true, description: 'Events per second, over the last ten; null: not known' })
  rate!: number | null;

  @ApiProperty({ type: [ProjectionErrorBody] })
  errors!: ProjectionErrorBody[];

  @ApiProperty({ type: RebuildBody, nullable: true })
  rebuild!: RebuildBody | null;

  @ApiProperty({ type: [CollectionBody], description: 'Newest first' })
  collections!: CollectionBody[];
}

export class ProjectionListBody {
  @ApiProperty({ type: [ProjectionBody] })
  projections!: ProjectionBody[];
}

export class OrderBody {
  @ApiProperty({ type: 'integer', nullable: true, description: 'Of the event that is the order' })
  position!: number | null;

  @ApiProperty({ description: 'False (and 202) where the process that folds the view has not taken it yet: it will' })
  carriedOut!: boolean;

  @ApiProperty({ type: ProjectionBody, description: 'As it stands afterwards' })
  projection!: ProjectionBody;
}
