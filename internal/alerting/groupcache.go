package alerting

import (
	"cmp"
	"maps"
	"slices"
)

// maxCached is the number of groups and their members that are cached; what the last transaction has used may be
// more.
const maxCached = 1 << 17

// groupCache holds windows as they are stored, so that one that is hit all the time is not read each time, with all
// of its members. Only the engine changes them.
type groupCache struct {
	groups map[GroupID]cachedGroup
	size   int
	uses   int64
}

type cachedGroup struct {
	*Group
	size int
	used int64
}

// takeOut returns a group and takes it out of the cache, as it may be changed in vain.
func (c *groupCache) takeOut(id GroupID) (*Group, bool) {
	g, cached := c.groups[id]
	if cached {
		delete(c.groups, id)
		c.size -= g.size
	}
	return g.Group, cached
}

// put puts in groups whose changes are stored, and drops those that are no more.
func (c *groupCache) put(groups map[GroupID]*Group) {
	if c.groups == nil {
		c.groups = map[GroupID]cachedGroup{}
	}
	c.uses++
	for id, g := range groups {
		c.takeOut(id)
		if g != nil {
			one := cachedGroup{g, 1 + len(g.Members), c.uses}
			c.size += one.size
			c.groups[id] = one
		}
	}
	if c.size > maxCached {
		c.shrink()
	}
}

// shrink drops the groups that were not used for longest until the cache is half full.
func (c *groupCache) shrink() {
	oldest := slices.SortedFunc(maps.Keys(c.groups), func(a, b GroupID) int { return cmp.Compare(c.groups[a].used, c.groups[b].used) })
	for _, id := range oldest {
		if c.size <= maxCached/2 || c.groups[id].used == c.uses {
			return
		}
		c.takeOut(id)
	}
}
