-- The settings of a tenant become one document of which the queues are a part.
UPDATE tenants SET settings = json_object('tenant', name, 'queues', json(settings)) WHERE settings IS NOT NULL;
