// Forms the replica set and makes the service's user. By mongosh; may run any number of times.
// Environment: MONGODB_HOSTS (with commas between), MONGODB_ROOT_PASSWORD, MONGODB_PASSWORD.

const NAME = 'runledger';
const NOT_YET_INITIALIZED = 94;
const ELECTION_MS = 120_000;

const { MONGODB_HOSTS, MONGODB_ROOT_PASSWORD, MONGODB_PASSWORD } = process.env;
const hosts = MONGODB_HOSTS.split(',');
const urlOf = (at, options) => `mongodb://root:${MONGODB_ROOT_PASSWORD}@${at}/admin?${options}`;

const first = connect(urlOf(hosts[0], 'directConnection=true'));
try {
  first.adminCommand({ replSetGetStatus: 1 });
} catch (error) {
  if (error.code !== NOT_YET_INITIALIZED) throw error;
  const members = hosts.map((host, _id) => ({ _id, host }));
  first.adminCommand({ replSetInitiate: { _id: NAME, members } });
}

// The driver waits for a primary that long.
const options = `replicaSet=${NAME}&serverSelectionTimeoutMS=${ELECTION_MS}&w=majority`;
const admin = connect(urlOf(hosts.join(','), options));
const user = {
  pwd: MONGODB_PASSWORD,
  // Its own database and nothing else: to make, index, fill and drop collections.
  roles: [{ role: 'readWrite', db: 'runledger' }],
};
if (admin.getUser('runledger')) admin.updateUser('runledger', user);
else admin.createUser({ user: 'runledger', ...user });
print('the replica set is formed');
