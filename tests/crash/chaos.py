"""What goes wrong, and when: nodes are killed and the database crashes at unforeseen instants, drawn from a seed."""

import asyncio

ABSENCE_S = (0, 3)
# One in so many crashes of the database takes all of its processes, as a crash of its host does.
LIKE_ITS_HOST_ONE_IN = 4
LOOKS_FOR_A_VICTIM_EVERY_S = 0.1


class Chaos:
    def __init__(self, chance, nodes, database):
        self._chance = chance
        self._nodes = nodes
        self._database = database
        self._is_away = asyncio.Lock()

    async def reign(self, kills, crashes, pauses_s):
        """Returns when all has happened, and the database is there again; nodes may still be starting."""
        disasters = [self._kill_a_node] * kills + [self._crash_the_database] * crashes
        self._chance.shuffle(disasters)
        async with asyncio.TaskGroup() as under_way:
            for disaster in disasters:
                await asyncio.sleep(self._chance.uniform(*pauses_s))
                under_way.create_task(disaster())

    async def _kill_a_node(self):
        absence_s = self._chance.uniform(*ABSENCE_S)
        while not (running := [node for node in self._nodes if node.is_running()]):
            await asyncio.sleep(LOOKS_FOR_A_VICTIM_EVERY_S)
        await self._chance.choice(running).kill(absence_s)

    async def _crash_the_database(self):
        async with self._is_away:
            if self._chance.randrange(LIKE_ITS_HOST_ONE_IN) == 0:
                await self._database.crash_like_its_host()
            else:
                await self._database.crash_at_once()
            await asyncio.sleep(self._chance.uniform(*ABSENCE_S))
            await self._database.start()
